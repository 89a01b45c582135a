"""torch may be absent: then nothing here runs."""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
# The tensors are tiny: threads would only wait for each other.
torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).parent))
