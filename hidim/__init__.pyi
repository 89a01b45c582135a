"""What type checkers and editors see; the names are loaded on first use by __init__.py."""

from hidim import (
    algorithms as algorithms,
)
from hidim import (
    dynamics as dynamics,
)
from hidim import (
    fitting as fitting,
)
from hidim import (
    lab as lab,
)
from hidim import (
    optax as optax,
)
from hidim import (
    plots as plots,
)
from hidim import (
    problems as problems,
)
from hidim import (
    scaling as scaling,
)
from hidim import (
    studies as studies,
)
from hidim import (
    torch as torch,
)
from hidim.algorithms import WSD as WSD
from hidim.algorithms import Constant as Constant
from hidim.algorithms import Cosine as Cosine
from hidim.algorithms import Forgetting as Forgetting
from hidim.algorithms import Momentum as Momentum
from hidim.algorithms import PowerLaw as PowerLaw
from hidim.algorithms import Table as Table
from hidim.algorithms import Warmup as Warmup
from hidim.algorithms import accelerated_sgd as accelerated_sgd
from hidim.algorithms import dana_constant as dana_constant
from hidim.algorithms import dana_decaying as dana_decaying
from hidim.algorithms import general_momentum as general_momentum
from hidim.algorithms import schedule_free_sgd as schedule_free_sgd
from hidim.algorithms import sgd as sgd
from hidim.algorithms import sgd_momentum as sgd_momentum
from hidim.algorithms import stochastic_nesterov as stochastic_nesterov
from hidim.curve import Curve as Curve
from hidim.dynamics.predict import predict as predict
from hidim.dynamics.recommend import recommend as recommend
from hidim.dynamics.rows import simulate_rows as simulate_rows
from hidim.dynamics.rows import tail_ratio as tail_ratio
from hidim.dynamics.simulate import simulate as simulate
from hidim.dynamics.stability import Stability as Stability
from hidim.dynamics.stability import stability as stability
from hidim.problems.power_law import PLRF as PLRF
from hidim.problems.spectrum import Spectrum as Spectrum
from hidim.scaling.law import ScalingLaw as ScalingLaw
from hidim.scaling.law import scaling_law as scaling_law

__version__: str
__all__: list[str]
