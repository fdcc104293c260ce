"""Every call that the OpenAPI document has, with bodies and parameters that schemathesis makes of it.

No answer may be a 5xx, or one that the document does not have. schemathesis has an environment of its own, since it
brings some thirty packages that nothing else needs: `make .venv-openapi/installed`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.entrypoints.http.test_http_api import serving_a_new_database
from tests.sizes import sized
from tests.support import ROOT

SCHEMATHESIS = ROOT / ".venv-openapi" / "bin" / "schemathesis"
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance",
)  # fmt: skip


@pytest.mark.slow
def test_no_request_that_can_be_made_of_the_document_is_answered_by_what_is_not_in_it(server, tmp_path: Path) -> None:
    if not SCHEMATHESIS.exists():
        pytest.skip("schemathesis is not installed; run `make .venv-openapi/installed`")
    env = os.environ | {"SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("schemathesis_hooks.py"))}
    with serving_a_new_database(server, callback_tokens="t") as api:
        done = subprocess.run(
            [
                SCHEMATHESIS, "run", f"{api.client.base_url}/api/openapi.json", "--checks", ",".join(CHECKS),
                "--phases", "examples,coverage,fuzzing", "--max-examples", str(sized(4, 400)), "--no-color",
                "--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off",
                "--request-timeout", "60",  # a call may ask to wait
            ],
            cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=sized(1_200, 14_000),
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "No issues found" in done.stdout, done.stdout[-2_000:]
