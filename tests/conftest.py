"""What the tests of several rooms share: examples drawn alike everywhere, and their makers."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # for schedule_examples

# The same examples at every run and on every machine, few, and none kept on disk; nothing timed.
settings.register_profile("hidim", derandomize=True, deadline=None, max_examples=30, database=None)
settings.load_profile("hidim")
