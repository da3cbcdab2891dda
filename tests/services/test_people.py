"""People: the one set-up, sign-in and its throttling, sessions, the last administrator."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import (
    BadCredentials,
    Forbidden,
    InvalidField,
    LastAdministrator,
    MissingRole,
    NameTaken,
    NotFound,
    SetupClosed,
    TooManySignIns,
    Unauthenticated,
    WeakPassword,
)
from app.core.principals import Caller, Person, Role, Scope
from app.factory import services
from app.services.bundle import Services
from app.services.setup import SetupLinkReplaced, add_first
from app.services.throttling import CROWDED, FREE_FAILURES, MAX_WAIT, admit
from app.store.database import Database
from app.store.people import People
from app.store.tx import Tx
from tests.support.templates import prepare
from tests.support.world import FakeClock, World, settings_for, world

PASSWORD = "four unrelated words 47"
OTHER = "another set of words 48"
FREE = FREE_FAILURES["account"]


@pytest.fixture
async def place(database_url: str, tmp_path: Path, clock: FakeClock) -> AsyncGenerator[World, None]:
    async with world(database_url, tmp_path, clock=clock) as opened:
        yield opened


@asynccontextmanager
async def empty(url: str, folder: Path) -> AsyncGenerator[Services, None]:
    """Open an installation that nobody has set up."""
    settings = settings_for(url, folder)
    prepare(settings.database)
    async with services(settings) as opened:
        yield opened


def elsewhere(url: str, clock: FakeClock, first: Person) -> None:
    """Add the first administrator as another process would, at once."""
    database = Database(url)
    with database.engine(writer=True).begin() as connection:
        tx = Tx(connection, database.kind, frozenset())
        tx.start(clock.now)
        add_first(tx, first)
        tx.flush()


async def account(place: World, role: Role = Role.APPROVER, name: str = "carl") -> Person:
    """Add a person who can sign in."""
    return await place.services.people.create(
        place.anne, name=name, email=f"{name}@example.org", role=role, password=PASSWORD
    )


async def signed_in(place: World, email: str = "carl@example.org") -> tuple[Caller, str]:
    """Sign in and return the caller and the session's token."""
    _, token = await place.services.people.sign_in(email, PASSWORD, "192.0.2.1", "browser")
    return await place.services.access.session_caller(token), token


async def fail(place: World, times: int, email: str = "carl@example.org") -> None:
    """Sign in with a wrong password."""
    for _ in range(times):
        with pytest.raises(BadCredentials):
            await place.services.people.sign_in(email, "wrong", "192.0.2.1", "")


async def events(place: World) -> list[str]:
    found = await place.services.audit.page(place.anne)
    return [record.event for record in found]


@pytest.mark.requirement("PPL-3", "T32")
async def test_the_printed_token_sets_up_once(database_url: str, tmp_path: Path) -> None:
    async with empty(database_url, tmp_path) as opened:
        people = opened.people
        assert await people.setup_open()
        earlier, token = await people.issue_setup_token(), await people.issue_setup_token()
        assert earlier and token and earlier != token
        for guess in (earlier, "", "x"):
            with pytest.raises(SetupLinkReplaced):
                await people.set_up(guess, "A", "a@example.org", PASSWORD, works_alone=False)
        anne, session = await people.set_up(
            token, "Anne", "Anne@Example.org ", PASSWORD, works_alone=True
        )
        caller = await opened.access.session_caller(session)
        assert (anne.email, anne.role, caller.person) == ("anne@example.org", Role.ADMIN, anne)
        assert await people.owner_may_decide()
        with pytest.raises(SetupClosed):
            await people.set_up(token, "Eve", "eve@example.org", PASSWORD, works_alone=False)
        with pytest.raises(SetupClosed):
            await people.add_first("Eve", "eve@example.org", PASSWORD)
        assert await people.issue_setup_token() is None
        assert not await people.setup_open()


@pytest.mark.requirement("PPL-3", "T32")
async def test_two_set_ups_at_once_make_one_administrator(
    database_url: str, tmp_path: Path
) -> None:
    async with empty(database_url, tmp_path) as opened:
        token = await opened.people.issue_setup_token() or ""
        done = await asyncio.gather(
            *(
                opened.people.set_up(
                    token, name, f"{name}@example.org", PASSWORD, works_alone=False
                )
                for name in ("mary", "nick")
            ),
            return_exceptions=True,
        )
        assert sorted(isinstance(one, SetupClosed) for one in done) == [False, True]
        assert await opened.store.read(lambda tx: tx.people.count()) == 1


@pytest.mark.requirement("PPL-3", "T32")
async def test_a_set_up_that_another_overtakes_is_told_that_it_is_closed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    async with empty(database_url, tmp_path) as opened:
        token = await opened.people.issue_setup_token() or ""
        anne = Person("per_anne", "Anne", "anne@example.org", Role.ADMIN, "", True, clock.now())
        read = People.count, People.setting

        def overtaken(self: People, *asked: str) -> object:
            monkeypatch.undo()
            before = read[len(asked)](self, *asked)
            elsewhere(database_url, clock, anne)
            return before

        monkeypatch.setattr(People, "count", overtaken)
        monkeypatch.setattr(People, "setting", overtaken)
        with pytest.raises(SetupClosed):
            await opened.people.check_setup(token)


@pytest.mark.requirement("PPL-3")
async def test_without_a_printed_token_nothing_fits(database_url: str, tmp_path: Path) -> None:
    async with empty(database_url, tmp_path) as opened:
        with pytest.raises(SetupLinkReplaced):
            await opened.people.set_up("", "A", "a@example.org", PASSWORD, works_alone=False)
        assert await opened.people.setup_open()


@pytest.mark.requirement("PPL-1", "T15")
async def test_each_sign_in_is_a_session_of_its_own(place: World) -> None:
    person = await account(place)
    first, one = await signed_in(place)
    second, two = await signed_in(place)
    assert one != two
    assert first.person is not None and first.person.id == person.id
    assert first.session is not None and second.session is not None
    assert first.session.form_token != second.session.form_token
    assert one not in repr(first.session)
    assert len(await place.services.people.sessions(first)) == 2
    await place.services.people.sign_out(first)
    with pytest.raises(Unauthenticated):
        await place.services.access.session_caller(one)
    assert (await place.services.access.session_caller(two)).person is not None
    assert await place.services.people.revoke_sessions(place.anne, person.id) == 1
    with pytest.raises(Unauthenticated):
        await place.services.access.session_caller(two)


@pytest.mark.requirement("PPL-1")
async def test_a_session_ends_when_idle(place: World, clock: FakeClock) -> None:
    await account(place)
    _, token = await signed_in(place)
    idle = place.services.settings.session_idle_seconds
    for _ in range(3):
        clock.move(idle - 1)
        await place.services.access.session_caller(token)
    clock.move(idle)
    with pytest.raises(Unauthenticated):
        await place.services.access.session_caller(token)


@pytest.mark.requirement("PPL-1")
async def test_a_session_ends_in_any_case(place: World, clock: FakeClock) -> None:
    await account(place)
    _, token = await signed_in(place)
    settings = place.services.settings
    step = settings.session_idle_seconds // 2
    for _ in range(settings.session_seconds // step - 1):
        clock.move(step)
        await place.services.access.session_caller(token)
    clock.move(step)
    with pytest.raises(Unauthenticated):
        await place.services.access.session_caller(token)


@pytest.mark.requirement("T31")
async def test_failures_of_an_account_make_it_wait_longer(place: World, clock: FakeClock) -> None:
    await account(place)
    await fail(place, FREE)
    for wait in (1, 2, 4):
        with pytest.raises(TooManySignIns) as refused:
            await signed_in(place)
        assert refused.value.retry_after == wait
        clock.move(wait)
        await fail(place, 1)
    clock.move(MAX_WAIT["address"])
    await signed_in(place)
    await fail(place, FREE)


@pytest.mark.requirement("T31")
async def test_accounts_that_do_not_exist_wait_alike(place: World) -> None:
    await fail(place, FREE, "nobody@example.org")
    with pytest.raises(TooManySignIns):
        await place.services.people.sign_in("nobody@example.org", PASSWORD, "192.0.2.1", "")


@pytest.mark.requirement("T31", "T67")
async def test_nobody_is_kept_out_by_guesses_from_elsewhere(place: World, clock: FakeClock) -> None:
    """Guesses go on from many addresses; each of them soon waits, and the owner never does."""
    await account(place)
    people, store = place.services.people, place.services.store

    async def guess(number: int) -> None:
        """Do what a wrong password leaves behind, without the work of the hash."""
        await store.write(lambda tx: admit(tx, "carl@example.org", f"198.51.100.{number}"))

    for number in range(2 * CROWDED):
        await guess(number)
    with pytest.raises(TooManySignIns):
        await guess(1)
    mine, _ = await people.sign_in("carl@example.org", PASSWORD, "203.0.113.9", "")
    for number in range(CROWDED):
        clock.move(61)
        await guess(number)
    carl = (await signed_in(place))[0]
    await people.change_password(carl, PASSWORD, OTHER)
    assert mine.person_id == carl.actor.id


@pytest.mark.requirement("T31", "T66")
async def test_guesses_side_by_side_gain_nothing(place: World) -> None:
    await account(place)
    done = await asyncio.gather(
        *(
            place.services.people.sign_in("carl@example.org", f"guess {n}", "192.0.2.1", "")
            for n in range(FREE + 5)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(one, BadCredentials) for one in done) == FREE
    assert sum(isinstance(one, TooManySignIns) for one in done) == 5


@pytest.mark.requirement("T31")
async def test_an_address_is_throttled_over_all_accounts(place: World) -> None:
    for number in range(FREE_FAILURES["address"]):
        await fail(place, 1, f"n{number}@example.org")
    with pytest.raises(TooManySignIns):
        await place.services.people.sign_in("z@example.org", PASSWORD, "192.0.2.1", "")
    await account(place)
    await place.services.people.sign_in("carl@example.org", PASSWORD, "192.0.2.2", "")


@pytest.mark.requirement("AUD-1", "T62")
async def test_failures_are_recorded_without_what_was_typed(place: World) -> None:
    with pytest.raises(BadCredentials):
        await place.services.people.sign_in("typed-the-password-here", "wrong", "192.0.2.1", "")
    found = await place.services.audit.page(place.anne, event="person.sign_in_failed")
    assert [record.details for record in found] == [{"email": "", "from": "192.0.2.1"}]


@pytest.mark.requirement("PPL-1")
async def test_who_is_switched_off_is_out_at_once(place: World) -> None:
    person = await account(place, Role.ADMIN)
    _, token = await signed_in(place)
    key, secret = await place.services.agents.create_key(
        place.anne, name="k", scopes=[Scope.REQUEST_READ], person_id=person.id
    )
    await place.services.people.update(place.anne, person.id, active=False)
    with pytest.raises(Unauthenticated):
        await place.services.access.session_caller(token)
    with pytest.raises(Unauthenticated):
        await place.services.access.key_caller(secret, "127.0.0.1")
    with pytest.raises(BadCredentials):
        await signed_in(place)
    (kept,) = await place.services.agents.list_keys(place.anne, person_id=person.id)
    assert kept.id == key.id and kept.revoked_at is not None


@pytest.mark.requirement("PPL-1", "T15")
async def test_a_new_password_ends_the_other_sessions(place: World) -> None:
    await account(place)
    mine, token = await signed_in(place)
    _, other = await signed_in(place)
    people = place.services.people
    with pytest.raises(BadCredentials) as refused:
        await people.change_password(mine, "wrong", OTHER)
    assert refused.value.pointer == "/old"
    with pytest.raises(WeakPassword):
        await people.change_password(mine, PASSWORD, "short")
    await people.change_password(mine, PASSWORD, OTHER)
    assert (await place.services.access.session_caller(token)).person is not None
    with pytest.raises(Unauthenticated):
        await place.services.access.session_caller(other)
    with pytest.raises(BadCredentials):
        await signed_in(place)
    await people.sign_in("carl@example.org", OTHER, "192.0.2.1", "")


@pytest.mark.requirement("PPL-1", "T23")
async def test_only_administrators_administer(place: World) -> None:
    people, someone = place.services.people, place.anne.person
    assert someone is not None
    for attempt in (
        people.create(place.ben, name="x", email="x@example.org", role=Role.ADMIN, password=OTHER),
        people.update(place.ben, someone.id, role=Role.VIEWER),
        people.revoke_sessions(place.ben, someone.id),
        people.set_owner_may_decide(place.ben, True),
    ):
        with pytest.raises(MissingRole):
            await attempt
    assert place.ben.person is not None
    with pytest.raises(MissingRole):  # with a key, or as somebody who is not signed in
        await people.revoke_sessions(place.ben, place.ben.person.id)
    carl = await account(place)
    mine, _ = await signed_in(place)
    assert await people.revoke_sessions(mine, carl.id) == 1
    with pytest.raises(Unauthenticated):
        await people.list(place.robot)


@pytest.mark.requirement("PPL-1")
async def test_the_last_administrator_stays(place: World) -> None:
    people, anne = place.services.people, place.anne.person
    assert anne is not None
    for change in ({"active": False}, {"role": Role.OPERATOR}):
        with pytest.raises(LastAdministrator):
            await people.update(place.anne, anne.id, **change)  # pyright: ignore[reportArgumentType]
    assert (await people.update(place.anne, anne.id, name="Anna")).name == "Anna"
    second = await account(place, Role.ADMIN)
    assert (await people.update(place.anne, anne.id, role=Role.VIEWER)).role is Role.VIEWER
    with pytest.raises(LastAdministrator):
        await people.update(place.anne, second.id, active=False)


@pytest.mark.requirement("PPL-1")
async def test_two_administrators_do_not_remove_each_other(place: World) -> None:
    second = await account(place, Role.ADMIN)
    assert place.anne.person is not None
    done = await asyncio.gather(
        *(
            place.services.people.update(place.anne, person_id, active=False)
            for person_id in (place.anne.person.id, second.id)
        ),
        return_exceptions=True,
    )
    assert sorted(isinstance(one, LastAdministrator) for one in done) == [False, True]


@pytest.mark.requirement("PPL-1")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "x" * 101), ("name", "a\x1b[31m"), ("name", " "),
        ("email", "nobody"), ("email", "a@b@c"), ("email", "a b@example.org"), ("email", "@x"),
    ],
)  # fmt: skip
async def test_accounts_are_checked(place: World, field: str, value: str) -> None:
    given = {"name": "Carl", "email": "carl@example.org", field: value}
    with pytest.raises(InvalidField) as refused:
        await place.services.people.create(
            place.anne, name=given["name"], email=given["email"], role=Role.VIEWER, password=OTHER
        )
    assert refused.value.pointer == f"/{field}"
    assert "person.created" not in await events(place)


@pytest.mark.requirement("PPL-1")
async def test_an_address_has_one_account(place: World) -> None:
    await account(place)
    with pytest.raises(NameTaken):
        await account(place, name="CARL")
    with pytest.raises(NotFound):
        await place.services.people.get(place.anne, "per_none")


@pytest.mark.requirement("T23")
async def test_a_key_makes_nobody_who_may_more_than_it(place: World) -> None:
    people = place.services.people
    only = replace(place.anne, scopes=frozenset({Scope.ADMIN}))
    with pytest.raises(Forbidden):
        await people.create(
            only, name="x", email="x@example.org", role=Role.APPROVER, password=OTHER
        )
    carl = await account(place, Role.VIEWER)
    with pytest.raises(Forbidden):
        await people.update(only, carl.id, role=Role.APPROVER)
    with pytest.raises(MissingRole):
        await people.set_owner_may_decide(only, True)
    with pytest.raises(Forbidden):
        await people.change_password(place.anne, PASSWORD, OTHER)
