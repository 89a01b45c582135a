"""Words mean the schedules that people mean by them, or are refused with what to write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hidim
from hidim.algorithms.words import EXAMPLE, KINDS, read_words

T = np.array([0.0, 999.0, 2000.0, 8000.0, 12_000.0, 16_000.0, 20_000.0, 24_000.0])


def rise(t: np.ndarray) -> np.ndarray:
    return np.minimum((t + 1) / 2000, 1.0)


def cosine(t: np.ndarray) -> np.ndarray:
    share = np.clip((t - 2000) / 22_000, 0, 1)
    return 3e-5 + 2.7e-4 * 0.5 * (1 + np.cos(np.pi * share))


def tail(t: np.ndarray) -> np.ndarray:
    return np.clip((t - 19_200) / 4800, 0, 1)


@pytest.mark.parametrize(
    ("words", "formula"),
    [
        ("constant peak=3e-4 warmup=2000", lambda t: 3e-4 + 0 * t),
        ("cosine peak=3e-4 end=3e-5 warmup=2000 steps=24000", cosine),
        ("cosine, lr=3e-4, min_lr=10%, warmup_steps=2000, total_steps=24_000", cosine),
        (
            "linear peak=3e-4 warmup=2000 steps=24000",
            lambda t: 3e-4 * np.clip((24_000 - t) / 22_000, 0, 1),
        ),
        (EXAMPLE, lambda t: 3e-4 - 2.7e-4 * tail(t)),
        (
            "WSD peak = 3e-4 end=10% warmup=2000 decay=20% steps=24000",
            lambda t: 3e-4 - 2.7e-4 * tail(t),
        ),
        (f"{EXAMPLE} shape=sqrt", lambda t: 3e-4 - 2.7e-4 * np.sqrt(tail(t))),
        (f"{EXAMPLE} shape=exponential", lambda t: 3e-4 * 0.1 ** tail(t)),
        (f"{EXAMPLE} shape=cosine", lambda t: 3e-5 + 2.7e-4 * (1 + np.cos(np.pi * tail(t))) / 2),
        (
            "multistep peak=3e-4 at=8000,16000 factor=0.1 warmup=2000",
            lambda t: 3e-4 * np.where(t < 8000, 1.0, np.where(t < 16_000, 0.1, 0.01)),
        ),
        (
            "multi-step peak=3e-4 at=8000 rates=9e-5 warmup=2000",
            lambda t: np.where(t < 8000, 3e-4, 9e-5),
        ),
        (
            "inverse-sqrt peak=3e-4 warmup=2000",
            lambda t: 3e-4 * np.sqrt(2000 / np.maximum(t, 2000)),
        ),
        (
            "polynomial peak=3e-4 end=3e-5 warmup=2000 steps=24000 power=2",
            lambda t: 3e-5 + 2.7e-4 * np.clip((24_000 - t) / 22_000, 0, 1) ** 2,
        ),
        (
            "cosine peak=3e-4 end=3e-5 warmup=2000 until=24000 steps=30000",
            cosine,
        ),
        (
            "power peak=3e-4 exponent=0.3 warmup=2000 decay=4800 end=0 steps=24000",
            lambda t: 3e-4 * (np.clip(t, 2000, 19_200) / 2000) ** -0.3 * (1 - tail(t)),
        ),
    ],
)
def test_words_are_the_formula(words, formula):
    schedule = hidim.read_schedule(words)
    assert np.allclose(schedule(T), rise(T) * formula(T), rtol=1e-12, atol=1e-18)
    again = hidim.read_schedule(" * ".join(map(repr, getattr(schedule, "factors", [schedule]))))
    assert np.array_equal(again(T), schedule(T))  # what it prints is read too


def test_knots_of_a_file_are_joined_by_straight_lines(tmp_path: Path):
    (tmp_path / "plan.csv").write_text("step,lr\n2000,3e-4\n19200,3e-4\n24000,3e-5\n")
    found = read_words(f"file:{tmp_path / 'plan.csv'}")
    assert np.allclose(found.schedule(T), 3e-4 - 2.7e-4 * tail(T))
    assert (found.steps, found.warmup) == (24_000, None)
    (tmp_path / "plan.csv").write_text("step,lr\n0,0\n2000,3e-4\n24000,0\n")
    assert read_words(f"file:{tmp_path / 'plan.csv'}").warmup == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "# a plan\nstep;lr\n0;0\n2000;3e-4\n24000;0\n",
        "iteration  learning_rate\n0 0\n2000 3e-4\n24000 0\n",
        "0,0\n2000,3e-4\n24000,0\n",
        "epoch,lr,step\n0,0,0\n0,3e-4,2000\n1,0,24000\n",
    ],
)
def test_knots_are_read_however_they_are_parted(text: str, tmp_path: Path):
    (tmp_path / "plan.txt").write_text(text)
    found = hidim.read_schedule(f"file:{tmp_path / 'plan.txt'}")
    assert np.allclose(found([1000, 13_000]), [1.5e-4, 1.5e-4])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("step,lr\n0,1\n", "two knots"),
        ("step,lr\n0,1\n5,x\n", "line 3 of .* holds 'x'"),
        ("step,loss\n0,1\n5,1\n", "no column 'lr'"),
        ("1,2,3\n4,5,6\n", "no header"),
        ("step,lr\n5,1\n2,1\n", "ascend"),
        ("step,lr\n0,0\n2,0\n", "zero throughout"),
    ],
)
def test_knots_that_are_none_are_refused(text: str, message: str, tmp_path: Path):
    (tmp_path / "plan.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        hidim.read_schedule(f"file:{tmp_path / 'plan.csv'}")


def test_what_is_said_of_length_and_warm_up_is_kept():
    assert read_words(EXAMPLE).steps == 24_000
    assert read_words(EXAMPLE).warmup == 2000
    assert read_words("constant peak=1 warmup=0").warmup == 0
    assert read_words("constant peak=1").warmup is None


def test_a_schedule_in_words_goes_where_schedules_go():
    problem = hidim.PLRF(alpha=1.0, beta=0.3, d=50, noise_variance=0.1)
    words = hidim.read_schedule("linear peak=0.3 steps=100")
    same = 0.3 * hidim.WSD(100, decay_fraction=1.0)
    risks = [hidim.predict(problem, hidim.sgd(s), at=[100]).risk[0] for s in (words, same)]
    assert risks[0] == pytest.approx(risks[1], rel=1e-9)


TAIL = "peak=3e-4 end=3e-5 warmup=2000"


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        (f"wsd {TAIL.replace('2000', '2k')} decay=4.8k steps=24k", EXAMPLE),
        (f"wsd {TAIL.replace('2000', '2,000')}, decay=4,800, steps=24,000", EXAMPLE),
        (f"wsd({TAIL.replace(' ', ', ')}, decay=4800, steps=24000)", EXAMPLE),
        ("wsd peak=3e-4 end=0.1x warmup=2000 decay=0.2 steps=24000", EXAMPLE),
        ("wsd peak=3e-4 end=0.1*peak warmup=2000 decay_ratio=0.2 steps=24000", EXAMPLE),
        (f"wsd {TAIL} stable=17200 decay=4800", EXAMPLE),
        (f"Warmup_Stable_Decay {TAIL} decay_start=19200 max_steps=24000", EXAMPLE),
        ("wsd peak 3e-4 end 3e-5 warmup 2000 decay 4800 steps 24000", EXAMPLE),
        ("wsd --lr 3e-4 --min-lr 3e-5 --warmup-steps 2000steps --decay 20% --iters 24000", EXAMPLE),
        ("cosine_with_min_lr lr=3e-4 min_lr_rate=0.1 num_warmup_steps=2000 T_max=24000", "cosine"),
        ("Cosine annealing: peak=3e-4; eta_min=3e-5; warmup=2000; steps=24000", "cosine"),
        ("inverse sqrt peak=3e-4 warmup=2000", "inverse-sqrt peak=3e-4 warmup=2000"),
        ("constant_with_warmup lr=3e-4 warmup=2000", "constant peak=3e-4 warmup=2000"),
        ("cosine 3e-4 peak, 2000 warmup, 24000 steps, 3e-5 min lr", "cosine"),
        ("cosine 3e-4 to 3e-5 over 24000 steps with 2000 warmup steps", "cosine"),
        ("cosine 3e-4 -> 3e-5, steps=24000 warmup=2000", "cosine"),
        (
            "Cosine decay with warmup: peak LR 3e-4, 2,000 warmup steps, 24,000 total steps, "
            "min LR 10%",
            "cosine",
        ),
        ("cosine from 3e-4 down to 3e-5, 2k warmup then 24k total steps", "cosine"),
        ("cosine warmup 2000 steps 24000 steps peak 3e-4 min_lr 3e-5", "cosine"),
        ("peak=3e-4 end=3e-5 cosine, 2000 warmup steps, 24000 steps", "cosine"),
        (
            "cosine learning_rate = 3e-4, min_lr = 3e-5, warmup_iters = 2000, "
            "lr_decay_iters = 24000, max_iters = 24000, decay_lr = True",
            "cosine",
        ),
        (
            "--lr 3e-4 --min-lr 3e-5 --lr-decay-style cosine --lr-warmup-iters 2000 "
            "--lr-decay-iters 24000 --train-iters 24000",
            "cosine",
        ),
        (
            "lr_scheduler_type=cosine_with_min_lr learning_rate=3e-4 warmup_steps=2000 "
            'lr_scheduler_kwargs={"min_lr_rate": 0.1} max_steps=24000',
            "cosine",
        ),
        (
            "{'lr': 3e-4, 'scheduler': 'SchedulerType.COSINE', 'warmup': 2000, 'steps': 24000, "
            "'min_lr': 3e-5}",
            "cosine",
        ),
        (
            "optax.warmup_cosine_decay_schedule(init_value=0.0, peak_value=3e-4, "
            "warmup_steps=2000, decay_steps=24000, end_value=3e-5)",
            "cosine",
        ),
        ("CosineAnnealingLR(optimizer, T_max=24000, eta_min=3e-5) lr=3e-4 warmup=2000", "cosine"),
        (
            "--lr 3e-4 --min-lr 3e-5 --lr-decay-style WSD --lr-warmup-iters 2000 --lr-decay-iters "
            "24000 --lr-wsd-decay-iters 4800 --lr-wsd-decay-style minus_sqrt",
            f"{EXAMPLE} shape=sqrt",
        ),
        (
            "wsd optimizer.lr=3e-4 lr_scheduler.warmup_steps=2000 lr_scheduler.decay_ratio=0.2 "
            "lr_scheduler.decay_type=linear lr_scheduler.min_lr_factor=0.1 training.steps=24000",
            EXAMPLE,
        ),
        (
            "get_polynomial_decay_schedule_with_warmup(optimizer, lr=3e-4, num_warmup_steps=2000, "
            "num_training_steps=24000, lr_end=3e-5, power=2.0)",
            f"polynomial {TAIL} steps=24000 exponent=2",
        ),
        (
            "OneCycleLR(optimizer, max_lr=3e-4, total_steps=24000, pct_start=0.25)",
            "onecycle peak=3e-4 steps=24000 warmup=6000 initial=4% end=4e-6x shape=cosine",
        ),
        (
            "MultiStepLR lr=3e-4 milestones=[8k, 16k] gamma=0.1 warmup=2000",
            "multistep peak=3e-4 at=8000,16000 factor=0.1 warmup=2000",
        ),
    ],
)
def test_other_spellings_mean_the_same(spelled: str, plain: str):
    plain = f"cosine {TAIL} steps=24000" if plain == "cosine" else plain
    found, meant = read_words(spelled), read_words(plain)
    assert np.array_equal(found.schedule(T), meant.schedule(T))
    assert (found.steps, found.warmup) == (meant.steps, meant.warmup)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "begins with its kind"),
        ("peak=3e-4", "begins with its kind"),
        ("cosin peak=1 steps=9", "Did you mean 'cosine'"),
        ("cosine peak=1", "needs 'steps='"),
        ("wsd peak=1 steps=9", "needs 'decay='"),
        ("cosine peka=1 steps=9", "Did you mean 'peak='"),
        ("cosine peak=1 decay=3 steps=9", "has no 'decay='"),
        ("cosine peak=1 peak=2 steps=9", "twice"),
        ("cosine peak steps=9", "NAME=VALUE"),
        ("cosine peak=x steps=9", "no number"),
        ("cosine peak=-1 steps=9", "no number of 0 or more"),
        ("cosine peak=0 steps=9", "positive rate"),
        ("cosine peak=1 end=2 steps=9", "must not exceed"),
        ("cosine peak=1 warmup=9 steps=9", "must be below"),
        ("wsd peak=1 decay=8 warmup=3 steps=9", "at most 6"),
        ("constant peak=1 decay=3", "needs 'steps='"),
        ("wsd peak=1 decay=3 steps=9 shape=exponential", "needs end="),
        ("wsd peak=1 decay=3 steps=9 shape=round", "shape"),
        ("cosine peak=1 steps=900 start=200", r"no 'start='\. It takes peak"),
        ("cosine peak=1 steps=900 pct_strt=200", "It takes peak"),
        ("cosine peak=1 steps=900 pct_strt=0.2", "Did you mean 'pct_start='"),
        ("noam peak=1 d_model=512", "an inverse-sqrt schedule"),
        (
            "inverse-sqrt peak=1 warmup=100 decay=100 end=50% steps=10000",
            "begins, which is 0.1005 at step 9900",
        ),
        ("multistep peak=1 at=3,5", "factor= or rates="),
        ("multistep peak=1 at=3,5 rates=.5,.2,.1", "3 values for 2 .*one after each"),
        ("multistep peak=1 at=5,3 factor=.1", "ascend"),
        ("inverse-sqrt peak=1", "warmup= or start="),
        ("constant peak=1 warmup=10%", "share of 'steps='"),
        ("wsd peak=1 stable=5 decay=3 steps=9", "do not add up"),
        ("wsd peak=1 stable=5 start=5 decay=3", "give one"),
        ("cosine peak=1 tokens=12B", "has no 'tokens='"),
        ("cosine 3e-4 steps=9", "write peak=3e-4"),
        ("linear cosine peak=1 steps=9", "two kinds"),
        ("peak=1 lr_scheduler_type=cosine_with_restarts steps=9", "knots of its cycles"),
        ("CosineAnnealingWarmRestarts(optimizer, T_0=8000) lr=3e-4 steps=9", "knots of its cycles"),
        ("get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, 20)", "knots of its cycl"),
        ("cosine peak=1 steps=9 num_cycles=2", "num_cycles=0.5 alone"),
        ("cosine peak=1 steps=9 warmup_type=log", "warmup_type=linear alone"),
        ("cosine peak=1 warmup_samples=9 steps=9", "counts optimizer steps"),
        ("lr_decay_style=WSD lr=1 decay=3 steps=9", "say shape="),
        ("cosine peak=1 end=3 steps=9", "end=10%"),
        ("cosine peak=1 steps=9 bf16", "cannot read 'bf16'"),
        ("onecycle peak=1 steps=9 warmup=0", "at least one step"),
        ("file:none.csv", "no file"),
        ("3 * Nothing(1)", "no schedule"),
    ],
)
def test_slips_are_refused_with_what_to_write(words: str, message: str):
    with pytest.raises(ValueError, match=message):
        hidim.read_schedule(words)


@pytest.mark.parametrize(
    "words",
    [
        "wsd peak=3e-4 end=10% decay=20%",
        "wsd peak=3e-4 start=80% decay=20%",
        "constant peak=3e-4 decay=0.2",
        "cosine peak=3e-4 warmup=2%",
        "multistep peak=3e-4 at=50%,75% factor=0.3",
        "multistep peak=3e-4 at=0.5,0.75 factor=0.3",
        "linear peak=3e-4 warmup_ratio=0.02",
    ],
)
def test_shares_are_of_the_length_that_the_words_or_the_caller_say(words: str):
    said, given = read_words(f"{words} steps=10000"), read_words(words, steps=10_000)
    assert given.steps == 10_000
    assert said.meant == given.meant
    assert np.array_equal(said.schedule(T), given.schedule(T))
    with pytest.raises(ValueError, match="share of 'steps='"):
        read_words(words)


def test_a_length_in_the_words_goes_before_that_of_the_caller():
    assert read_words("wsd peak=1 until=8000 decay=20%", steps=10_000).steps == 8000
    assert read_words("wsd peak=1 start=8000 decay=1000", steps=10_000).steps == 9000


def test_a_cycle_rises_from_a_share_of_its_peak_and_falls_to_nothing():
    found = hidim.read_schedule("OneCycleLR max_lr=1 total_steps=1000 div_factor=10")
    # torch: 1/10 at the start, the peak at 30 %, a cosine down to 1/10 of 1e-4
    at = np.array([0.0, 150.0, 300.0, 650.0, 1000.0])
    assert np.allclose(found(at), [0.1, 0.55, 1.0, 0.500005, 1e-5])


def test_a_line_is_read_in_one_way_or_refused():
    with pytest.raises(ValueError, match="linear_warmup=2: write NAME=VALUE"):
        read_words("peak=1 steps=9 linear warmup 2")
    assert read_words("wsd peak=1 decay=20% steps=100 end=0").read_as.endswith("steps=100")
    assert read_words("wsd peak=1 decay=20 steps=100 end=0").read_as == ""
    assert read_words("cosine peak=1 steps=9").meant == "cosine peak=1 end=0 steps=9"
    assert read_words("cosine peak=1", steps=9).steps == 9


def test_every_kind_is_told_by_the_docstring():
    assert all(f"`{kind}`" in hidim.read_schedule.__doc__ for kind in KINDS)


def test_rates_of_a_multistep_may_begin_with_the_peak() -> None:
    words = "multistep peak=3e-4 at=8000,16000 rates={}1e-4,3e-5 warmup=2000 steps=24000"
    at = np.array([1000.0, 5000.0, 9000.0, 20_000.0])
    short, whole = (read_words(words.format(k)).schedule(at) for k in ("", "3e-4,"))
    assert np.array_equal(short, whole)
    assert np.allclose(whole, [1.5e-4, 3e-4, 1e-4, 3e-5], rtol=2e-3)
