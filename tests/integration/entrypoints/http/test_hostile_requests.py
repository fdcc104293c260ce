"""A short form of ``python -m tests.hostile``, which sends 20,000."""

from __future__ import annotations

import pytest

from tests.hostile.campaign import Campaign
from tests.integration.entrypoints.http.test_http_api import serving_a_new_database


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        yield api


@pytest.mark.parametrize("seed", [11, 12])
def test_no_hostile_request_is_answered_500_and_every_accepted_value_comes_back_exactly(api, seed):
    campaign = Campaign(api.client.base_url.port, seed)
    campaign.run(400)
    assert campaign.faults == []
    assert campaign.exact > 50
    assert campaign.statuses[201] > 20
