"""Numbers that carry over from AdamW and SGD, in Python and at the command line."""

import copy
import json
import pickle

import pytest
import torch

import hidim.torch as ours
from hidim.algorithms import transfer
from hidim.cli.main import main


def test_the_laws_and_the_table_say_what_they_were_published_to_say():
    assert transfer.law("adamw", 0.0) == pytest.approx(12.8 * 1.67e4**-0.515)
    for millions, adamw, mk4 in transfer.PER_SIZE:
        n = transfer.without_embeddings(millions * 1e6)
        assert 0.5 < transfer.law("adamw", n) / adamw < 1.6
        assert mk4 < transfer.law("adana", n) < 8 * mk4
    assert transfer.without_embeddings(664e6) == pytest.approx(36864 * 24**3, rel=0.01)


def test_adana_comes_with_its_numbers_and_reasons_and_groups_keep_their_ratios():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    groups = ours.param_groups(model, weight_decay=0.1)
    groups[1]["lr"] = 1e-4
    optimizer = ours.from_adamw(
        groups, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, steps=5000, model_parameters=124e6
    )
    first, second = optimizer.param_groups
    assert isinstance(optimizer, ours.ADANA)
    assert second["lr"] == pytest.approx(first["lr"] / 10)
    assert (first["omega"], second["omega"]) == (4.0, 0.0)
    assert first["weight_decay"] == second["weight_decay"] == 0.0
    assert (first["t_0"], first["cooldown"]) == (500.0, 5000)
    assert len(optimizer.reasons) >= 6
    assert groups[0]["weight_decay"] == 0.1  # what was given stays as it was
    low, high = optimizer.transfer.lr_interval
    assert low < first["lr"] < high
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    own = ours.from_adamw(model.parameters(), lr=1e-3, steps=10, kappa=0.8, weight_decay=0)
    assert (own.param_groups[0]["kappa"], own.param_groups[0]["omega"]) == (0.8, 0.0)


def test_reasons_survive_copies_pickles_and_the_loading_of_a_checkpoint():
    def made():
        return ours.from_adamw(torch.nn.Linear(3, 1).parameters(), lr=1e-3, steps=5000)

    optimizer, loaded = made(), made()
    torch.optim.lr_scheduler.StepLR(optimizer, 10)  # puts a step of its own over ours
    loaded.load_state_dict(optimizer.state_dict())
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer)), loaded):
        assert twin.reasons == optimizer.reasons
        assert twin.transfer == optimizer.transfer
        assert "step" not in vars(twin)


def test_sgd_with_momentum_becomes_dana_at_half_its_effective_rate():
    optimizer = ours.from_sgd(
        torch.nn.Linear(3, 1).parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, steps=9000
    )
    (group,) = optimizer.param_groups
    assert isinstance(optimizer, ours.DANADecaying)
    assert group["lr"] * group["weight_decay"] == pytest.approx(0.1 * 1e-3)
    assert group["lr"] == pytest.approx(0.5)
    assert transfer.dana_from_sgd(0.1, steps=10, momentum=0.0).options["lr"] == 0.1


def test_intervals_widen_outside_the_table_and_large_batches_are_advised_against():
    def spread(parameters):
        found = transfer.adana_from_adamw(1e-3, steps=20_000, parameters=parameters)
        return round(found.lr_interval[1] / found.lr_interval[0], 6)

    assert spread(1e4) > spread(1e7) > spread(1e8) == spread(6e8) < spread(7e9)
    for parameters, said in ((7e10, "7e+10 parameters are 105 x above"), (1e6, "45.7 x below")):
        found = transfer.adana_from_adamw(1e-3, steps=20_000, parameters=parameters)
        assert said in found.reasons[0]
        assert "nothing was measured at yours" in found.reasons[0]
    assert "x above" not in transfer.adana_from_adamw(1e-3, steps=99, parameters=1e8).reasons[0]

    def verdict(steps, parameters, batch):
        return transfer.adana_from_adamw(
            1e-3, steps=steps, parameters=parameters, batch_tokens=batch
        ).verdict

    assert verdict(20_000, 124e6, 65_536) == "meant"
    assert verdict(1000, 124e6, 65_536) == "doubtful"
    assert verdict(10, 124e6, 65_536) == verdict(10, 1e9, None) == "not meant"
    assert transfer.dana_from_sgd(0.1, steps=10).verdict == "not meant"
    for parameters in (124e6, 7e9):  # nothing is promised of a batch that nobody named
        found = transfer.adana_from_adamw(1e-3, steps=20_000, parameters=parameters)
        assert found.verdict == "meant if the batch is below 5e5 tokens"
        assert found.reasons[-1].startswith(found.verdict)
    assert verdict(1000, 124e6, None) == "doubtful"
    assert verdict(5000, 100e6, 2**20) == "not meant"
    assert verdict(50_000, 1e9, 2**20) == "doubtful"


def test_what_only_adamw_or_sgd_has_is_left_out_and_said_and_an_optimizer_is_no_parameter():
    def ones():
        return [torch.nn.Parameter(torch.ones(3))]

    adana = ours.from_adamw(ones(), lr=1e-3, steps=5000, amsgrad=True, eps=1e-6)
    assert adana.reasons[-1].startswith("amsgrad = True is left out")
    assert adana.defaults["eps"] == 1e-6
    dana = ours.from_sgd(ones(), lr=0.1, steps=5000, nesterov=True, dampening=0)
    assert dana.reasons[-1].startswith("nesterov = True is left out: the gradient always moves")
    assert not any(reason.startswith("dampening") for reason in dana.reasons)
    with pytest.raises(ValueError, match=r"^`dampening` is not carried over, got 0\.5: give lr x"):
        ours.from_sgd(ones(), lr=0.1, steps=5000, dampening=0.5)
    for build in (ours.from_adamw, ours.from_sgd):
        with pytest.raises(ValueError, match=r"^`params` must be .* got an optimizer \(AdamW\)"):
            build(torch.optim.AdamW(ones()), lr=1e-3, steps=5000)
        with pytest.raises(ValueError, match=r"got a model \(Linear\): give model.parameters\(\)"):
            build(torch.nn.Linear(2, 1), lr=1e-3, steps=5000)
    for other in (None, torch.nn.Linear(2, 1)):
        with pytest.raises(ValueError, match=r"^`optimizer` must be an optimizer"):
            ours.monitor(other)


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.Adam, torch.optim.NAdam])
@pytest.mark.parametrize("as_groups", [False, True])
def test_the_defaults_of_what_worked_are_taken_and_what_changes_nothing_is_no_line(kind, as_groups):
    ps = [torch.nn.Parameter(torch.ones(3))]
    old = kind(ps, lr=1e-3)
    options = {k: v for k, v in old.defaults.items() if k != "momentum_decay"}
    given = [{**options, "params": ps}] if as_groups else ps
    new = ours.from_adamw(given, steps=5000, **({"lr": 1e-3} if as_groups else options))
    (line,) = [x for x in new.reasons if "decoupled_weight_decay = " in x]
    assert "omega takes the decay's place" in line
    assert not [x for x in new.reasons if "amsgrad" in x]
    assert "decoupled_weight_decay" not in new.param_groups[0]


def test_the_defaults_of_sgd_are_taken_and_a_decay_apart_stays():
    ps = [torch.nn.Parameter(torch.ones(3))]
    plain = ours.from_sgd(ps, steps=5000, **torch.optim.SGD(ps, lr=0.1).defaults)
    assert not [x for x in plain.reasons if "left out" in x]
    apart = ours.from_sgd(ps, lr=0.1, steps=5000, decoupled_weight_decay=True)
    assert apart.param_groups[0]["decoupled_weight_decay"]


def test_a_rate_that_no_run_of_this_size_has_is_pointed_out():
    def said(lr, **options):
        found = transfer.adana_from_adamw(lr, steps=5000, parameters=124e6, **options)
        return [reason for reason in found.reasons if "published best at" in reason]

    assert not said(1e-4) + said(1e-3) + said(1e-2)  # ten times off is another task
    (high,), (low,) = said(6.0), said(1e-5)
    assert "above" in high
    assert "SGD's, or a slip?" in high
    assert "below" in low
    assert "fine-tuning" in low


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--for adana --tokens 1e3 --batch-tokens 5e5", 2, "`tokens` must be at least one batch"),
        ("--for adana --parameters 0.5", 2, "`parameters` must be at least 1"),
        ("--for adana --batch-tokens 0.1", 2, "`batch_tokens` must be at least 1"),
        ("--for adana --sgd-lr .1 --momentum .5", 0, "not used for adana: --sgd-lr, --momentum"),
        ("--for dana-decaying --sgd-lr .1", 0, "not used for dana-decaying: --adamw-lr, --par"),
        ("--for adana --adamw-lr 6", 0, "published best at"),
    ],
)
def test_implausible_and_unused_words_on_the_command_line_are_named(capsys, words, code, said):
    run = [] if "--tokens" in words else ["--steps", "5000"]
    usual = ["recommend", "--adamw-lr", "1e-3", "--parameters", "124e6", *run]
    assert main([*usual, *words.split()]) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": 0.0}, "lr"),
        ({"steps": 0}, "steps"),
        ({"steps": 1.5}, "steps"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"batch_tokens": 0}, "batch_tokens"),
        ({"kappa": -1.0}, "kappa"),
        ({"model_parameters": 0}, "model_parameters"),
        ({"model_parameters": -5}, "model_parameters"),
        ({"model_parameters": "1e6"}, "model_parameters"),
        ({"betas": (0.9,)}, "betas"),
        ({"betas": (1.0, 0.9)}, "betas"),
        ({"betas": (0.9, "x")}, "betas"),
        ({"betas": "x"}, "betas"),
        ({"betas": None}, "betas"),
        ({"lr": "6e-4"}, "lr"),
        ({"lr": None}, "lr"),
        ({"steps": "100"}, "steps"),
        ({"weight_decay": "0.1"}, "weight_decay"),
    ],
)
def test_bad_values_are_named(options, words):
    with pytest.raises(ValueError, match=rf"^`{words}` [^\n]*$"):
        ours.from_adamw(
            [torch.nn.Parameter(torch.ones(3))], **{"lr": 1e-3, "steps": 100, **options}
        )


@pytest.mark.parametrize("name", ["lr", "steps", "momentum", "weight_decay"])
@pytest.mark.parametrize("value", ["0.5", "x", None])
def test_bad_values_from_sgd_are_named(name, value):
    with pytest.raises(ValueError, match=rf"^`{name}` must be a number, got [^\n]*$"):
        ours.from_sgd(
            [torch.nn.Parameter(torch.ones(3))], **{"lr": 1e-3, "steps": 100, name: value}
        )


@pytest.mark.parametrize("build", [ours.from_adamw, ours.from_sgd])
@pytest.mark.parametrize("name", ["lr", "weight_decay"])
def test_a_bad_value_of_a_group_is_named(build, name):
    groups = [{"params": [torch.nn.Parameter(torch.ones(3))], name: "6e-4"}]
    with pytest.raises(ValueError, match=f"^`{name}` must be a number"):
        build(groups, lr=1e-3, steps=5000)


@pytest.mark.parametrize("build", [ours.from_adamw, ours.from_sgd])
def test_what_a_group_says_and_is_not_carried_over_has_a_reason(build):
    said = {"betas": (0.8, 0.9), "momentum": 0.7}
    groups = [
        {"params": [torch.nn.Parameter(torch.ones(3))]},
        {"params": [torch.nn.Parameter(torch.ones(3))], **said},
    ]
    optimizer = build(groups, lr=1e-3, steps=5000)
    for name, value in said.items():
        assert name not in optimizer.param_groups[1]
        (line,) = [x for x in optimizer.reasons if x.startswith(f"group 1: {name} = {value}")]
        assert "left out" in line
    assert not [x for x in optimizer.reasons if x.startswith("group 0")]


@pytest.mark.parametrize("wrapper", [ours.NormalizeAndProject, ours.LogTimeWeightDecay])
def test_a_wrapper_has_the_reasons_of_what_it_wraps(wrapper):
    base = ours.from_sgd(torch.nn.Linear(3, 1).parameters(), lr=1e-3, steps=5000)
    wrapped = wrapper(base)
    for twin in (wrapped, copy.deepcopy(wrapped), pickle.loads(pickle.dumps(wrapped))):
        assert twin.reasons == base.reasons
        assert twin.transfer == base.transfer


def test_the_command_line_gives_the_same_numbers(capsys):
    asked = "recommend --for adana --parameters 124e6 --tokens 2.5e9 --adamw-lr 6e-4"
    assert main([*asked.split(), "--batch-tokens", "65536", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    same = transfer.adana_from_adamw(6e-4, steps=38147, parameters=124e6, batch_tokens=65536)
    assert found["options"] == same.options
    assert found["verdict"] == "meant"
    assert main([*asked.split(), "--batch-tokens", "65536"]) == 0
    assert "with three runs" in capsys.readouterr().out
    assert main(["recommend", "--for", "dana-decaying", "--sgd-lr", "0.1", "--steps", "9000"]) == 0
    assert "0.5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("--adamw-lr 1e-3 --parameters 1e6", "--steps"),
        ("--parameters 1e6 --steps 100", "--adamw-lr"),
        ("--adamw-lr 1e-3 --steps 100", "--parameters"),
        ("--for dana-decaying --steps 100", "--sgd-lr"),
        ("--for sgd --steps 100", "--for"),
        ("--adamw-lr -1 --parameters 1e6 --steps 100", "`--adamw-lr` must be positive"),
        ("--for dana-decaying --sgd-lr -.1 --steps 100", "`--sgd-lr` must be positive"),
        ("--for dana --sgd-lr .1 --steps 100", "Did you mean 'dana-decaying'"),
        ("--for adana --tokens 10 --steps 100", "`tokens` must be at least one for each of 100"),
        ("--tokens 2.5e9 --steps 5000 --batch-tokens 65536", "leave one of the three out"),
        ("--tokens -5 --steps 5000", "`tokens` must be positive"),
    ],
)
def test_the_command_line_refuses_in_one_line_with_the_remedy(asked, words, capsys):
    assert main(["recommend", *asked.split()]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("batch", "verdict"),
    [
        (500_000, "not meant"),
        (2**20, "not meant"),
        (65_536, "meant"),
        (None, "meant if the batch is below 5e5 tokens"),
    ],
)
def test_one_run_has_one_verdict_however_it_is_written(batch, verdict, capsys):
    steps = 5000
    written = [f"--steps {steps}"]
    if batch is not None:
        every, each = f"--tokens {steps * batch}", f"--batch-tokens {batch}"
        written = [f"--steps {steps} {every}", f"{every} {each}", f"--steps {steps} {each}"]
    answers = []
    for words in written:
        asked = "recommend --for adana --parameters 124e6 --adamw-lr 6e-4 --json"
        assert main([*asked.split(), *words.split()]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0]["verdict"] == verdict
    assert all(answer == answers[0] for answer in answers)


def test_of_runs_shorter_than_any_measured_less_is_claimed_not_more_extrapolated():
    runs = [
        transfer.adana_from_adamw(1e-3, steps=n, parameters=1e6, weight_decay=0.1)
        for n in (600, 60, 1)
    ]
    rates = [run.options["lr"] for run in runs]
    assert max(rates) < 2 * rates[0]
    widths = [high / low for low, high in (run.lr_interval for run in runs)]
    assert widths[0] < widths[1] < widths[2]


@pytest.mark.parametrize("steps", [1, 10, 20, 50, 120, 5000])
def test_the_log_time_decay_of_a_short_run_leaves_most_of_a_weight(steps):
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = ours.from_adamw([p], lr=1e-3, weight_decay=0.1, steps=steps)
    p.grad = torch.zeros(2)
    optimizer.step()
    assert p.min() > 0.6


@pytest.mark.parametrize(("momentum", "said"), [(0.0, "is kept"), (0.5, "is kept"), (0.9, "room")])
def test_the_rate_from_sgd_is_what_its_reason_says(momentum, said):
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = ours.from_sgd([p], lr=0.1, steps=20_000, momentum=momentum)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(max(0.05 / (1 - momentum), 0.1))
    assert said in optimizer.reasons[0]


@pytest.mark.parametrize("cls", [ours.ADANA, ours.DanaMK4])
def test_a_late_start_that_makes_the_first_updates_long_is_said_once(cls):
    def first(**options):
        ps = [torch.nn.Parameter(torch.zeros(9)) for _ in range(2)]
        optimizer = cls(ps, lr=1.0, **options)
        for p in ps:
            p.grad = torch.ones(9)
        return optimizer, ps[0]

    optimizer, p = first(initial_step=1200)
    with pytest.warns(UserWarning, match="are 12 times lr long") as seen:
        optimizer.step()
    assert len(seen) == 1
    assert 12 < float(-p.detach()[0]) < 13
    warmed, _ = first(initial_step=1200)
    torch.optim.lr_scheduler.LambdaLR(warmed, lambda t: (t + 1) / 100)
    warmed.step()
    first(initial_step=200)[0].step()


@pytest.mark.parametrize("cls", [ours.DanaStar, ours.LogTimeAdEMAMix, ours.DANADecaying])
def test_where_a_late_start_is_safe_nothing_is_said(cls):
    p = torch.nn.Parameter(torch.zeros(9))
    optimizer = cls([p], lr=1.0, initial_step=50_000)
    p.grad = torch.ones(9)
    optimizer.step()
    assert float(-p.detach()[0]) < 2.1
