"""The played vendor, and a small application of it, over both doors."""

from collections.abc import AsyncIterator

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from tests.support.slack_sample import Sample, over_http, over_socket
from tests.support.slack_server import Slack


@pytest.fixture
async def vendor() -> AsyncIterator[Slack]:
    """The played vendor."""
    async with Slack() as played:
        yield played


@pytest.fixture
def client(vendor: Slack) -> AsyncWebClient:
    """The real client with Acme's token."""
    return AsyncWebClient(vendor.world.acme.bot_token, base_url=vendor.api_url)


@pytest.fixture
async def posted(vendor: Slack) -> AsyncIterator[Sample]:
    """An application that is served over HTTP."""
    sample = Sample(vendor)
    async with over_http(sample):
        yield sample


@pytest.fixture
async def linked(vendor: Slack) -> AsyncIterator[Sample]:
    """An application that is connected by Socket Mode."""
    sample = Sample(vendor)
    async with over_socket(sample):
        yield sample


@pytest.fixture(params=["posted", "linked"])
def sample(request: pytest.FixtureRequest) -> Sample:
    """An application behind either door."""
    return request.getfixturevalue(request.param)
