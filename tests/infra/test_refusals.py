"""What could not work is refused before anything is made, in both languages, with what mends it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.infra.bicep_compiler import Refused
from tests.infra.terraform_state import Deployed
from tests.infra.test_parity import snake

BURSTABLE = {"databaseTier": "Burstable", "databaseSku": "Standard_B2s", "databaseMaxConnections": 429}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "more connections than there are": ({"maxInstances": 200}, r"lower max_?[iI]nstances"),
    "a shape that there is not": ({"shape": "premium"}, "flex"),
    "a standby of a burstable database": (BURSTABLE | {"databaseHighAvailability": "SameZone"}, "has no standby"),
    "PgBouncer of a burstable database": (BURSTABLE | {"databasePgbouncer": True}, "has no PgBouncer"),
    "the example's administrator": ({"databaseAdminObjectId": "00000000-0000-0000-0000-000000000000"},
                                    "[Tt]he object id of who administers"),
    "a name for an id": ({"databaseAdminObjectId": "jobs-admins"}, "az ad group show"),
    "an address of IPv6": ({"operatorIpAddresses": ["2001:db8::7"]}, "IPv4 addresses only"),
    "a network without a zone for the queue": (
        {"existingNetwork": {
            "appSubnet": "a", "operationsSubnet": "b", "endpointSubnet": "c", "blobDnsZone": "d", "vaultDnsZone": "e",
            "databaseDnsZone": "f",
        }},
        "[nN]eeds queue_?[dD]ns_?[zZ]one, or flex_?[sS]cheduler timer",
    ),
    "a gateway without a network of its own": ({"natGateway": True, "privateNetwork": False},
                                               "[nN]eeds a network of its own"),
    "a day that the week has not": ({"databaseMaintenance": {"day": 7, "hour": 3}}, "6"),
    "a name that begins with a digit": ({"name": "1jobs"}, "a letter first"),
    "a name that ends with a hyphen": ({"name": "jobs-"}, "no hyphen last"),
    "a name with two hyphens": ({"name": "my--jobs"}, "single hyphens"),
    "a name in capitals": ({"name": "Jobs"}, "lower-case letters"),
    "a name that is too long": ({"name": "a-name-too-long"}, "12"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "told"), REFUSED.values(), ids=REFUSED)
def test_bicep_refuses_it(deployed, given: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told):
        deployed(**given)


@pytest.mark.parametrize(("given", "told"), REFUSED.values(), ids=REFUSED)
def test_terraform_refuses_it(run_terraform, tmp_path: Path, given: dict[str, Any], told: str) -> None:
    infrastructure = Deployed(run_terraform, tmp_path / "infra")
    written = {
        snake(name): {snake(key): inner for key, inner in value.items()} if isinstance(value, dict) else value
        for name, value in given.items()
    }
    assert re.search(told, infrastructure.refused(**written))


def test_terraform_refuses_another_shape_on_the_same_subnet(run_terraform, tmp_path: Path) -> None:
    infrastructure = Deployed(run_terraform, tmp_path / "infra")
    infrastructure.apply()
    told = infrastructure.refused(shape="dapr", container_image="example.azurecr.io/jobs:1")
    assert "terraform_data.shape_cannot_be_changed_in_place" in told
