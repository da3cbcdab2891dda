"""Pages under hostile text and volume: what they warn of, their order, and what they say after."""

import pytest

from app.core.request import evolve
from app.store.tx import Tx
from tests.web.conftest import Door
from tests.web.test_selection import signed_in

pytestmark = pytest.mark.requirement("DASH-1", "DASH-2")


@pytest.mark.requirement("T5", "T8")
async def test_every_page_says_how_much_is_not_what_it_seems(door: Door) -> None:
    answer = await door.ask(params={"to": "p\u0430ypal \u202e\u202d"}, reason="fine")
    plain = await door.ask(params={"to": "paypal"})
    browser = await signed_in(door)
    for address in ("/requests/{}", "/decisions?pick={}"):
        page = (await browser.get(address.format(answer.json()["id"]))).text
        assert "2 hidden characters are written out" in page
        assert "1 word is written in mixed or look-alike letters" in page
        assert page.index("2 hidden") < page.index('class="payload"')
        assert 'class="mind"' not in (await browser.get(address.format(plain.json()["id"]))).text


async def test_a_page_says_what_is_the_case_now(door: Door) -> None:
    made = await door.pending()
    browser = await signed_in(door)
    before = (await browser.get(f"/requests/{made.id}")).text
    assert ">What will run<" in before and "<dt>Expires</dt>" in before
    await door.world.services.decisions.cancel(door.world.anne, made.id, "")
    after = (await browser.get(f"/requests/{made.id}")).text
    assert ">What would have run<" in after and "<dt>Expires</dt>" not in after
    assert "may not be undone" not in after


async def test_the_inbox_pages_filters_and_previews(door: Door) -> None:
    await door.ask(params={"to": "x" * 400}, reason="y" * 400)
    one = await door.pending()

    def add(tx: Tx) -> None:
        for n in range(60):
            end = one.expires_at + n * 1_000_000
            tx.requests.insert(evolve(one, {"id": f"{one.id[:-3]}{n:03}", "expires_at": end}))

    await door.world.services.store.write(add)
    browser = await signed_in(door)
    first = (await browser.get("/")).text
    assert first.count('name="pick"') == 50 and "Expires later" in first
    assert "{&#34;to&#34;:&#34;xxx" in first and "x…" in first and "y…" in first
    later = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = (await browser.get(later)).text
    assert second.count('name="pick"') == 12 and "Expires sooner" in second
    newest = (await browser.get("/?order=newest")).text
    assert newest.count('name="pick"') == 50 and "Older" in newest
    assert (await browser.get("/inbox/list?urgency=critical")).text.count('name="pick"') == 0
    assert "Nothing here fits" in (await browser.get("/?urgency=critical")).text
    for wrong in ("/?order=x", "/?cursor=x", "/?urgency=x", "/?nothing=x"):
        assert (await browser.get(wrong)).is_client_error
    agent = (await browser.get(f"/agents/{one.agent_id}")).text
    assert "62 of" in agent and f"/requests?agent={one.agent_id}" in agent
