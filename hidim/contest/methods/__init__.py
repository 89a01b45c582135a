"""The methods of the contest, one line each; the first is what others are compared with."""

from hidim.contest.entries import Method, Table

_HERE = "hidim.contest.methods"

METHODS = Table(
    "method",
    Method,
    {
        "adamw": f"{_HERE}.adamw:ADAMW",
        "adamw-high": f"{_HERE}.adamw:ADAMW_HIGH",
        "nadamw": f"{_HERE}.adamw:NADAMW",
        "sgd-m": f"{_HERE}.sgd:SGD_M",
        "muon": f"{_HERE}.muon:MUON",
        "schedule-free": f"{_HERE}.schedule_free:SCHEDULE_FREE",
        "ademamix": f"{_HERE}.ademamix:ADEMAMIX",
        "dana-decaying": f"{_HERE}.dana:DANA_DECAYING",
        "adana": f"{_HERE}.dana:ADANA",
        "adana-log-time": f"{_HERE}.dana:ADANA_LOG_TIME",
        "mk4": f"{_HERE}.dana:MK4",
        "star": f"{_HERE}.dana:STAR",
    },
)
BASELINE, WIDER = "adamw", "adamw-high"
