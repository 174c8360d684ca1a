"""On an accelerator no call but the first copies anything to the device, and none waits for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from absent import needs

needs("torch")

pytestmark = pytest.mark.slow

SESSION = Path(__file__).with_name("device_session.py")
KNOWN = {
    "made on the device": {},
    "a list": {"_to_copy": 2},
    "moved": {"_to_copy": 2},
    "fetched": {"_to_copy": 2},
    "copied into": {"copy_": 2},
}


@pytest.fixture(scope="module")
def traffic():
    """What two steps of each kind copied or waited for, on a device that is pretended."""
    done = subprocess.run([sys.executable, SESSION], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_copies_are_seen(traffic):
    assert traffic["known"] == KNOWN


def test_no_step_copies_anything_or_waits(traffic):
    steps = {name: found for name, found in traffic.items() if name != "known"}
    assert len(steps) > 20
    assert {name: found for name, found in steps.items() if found} == {}
