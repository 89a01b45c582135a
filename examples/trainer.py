"""ADANA in Hugging Face's Trainer: `python examples/trainer.py` after `pip install transformers`.

`optimizer_cls_and_kwargs` gives a class of one's own; TrainingArguments(optim="...") takes only the
names that transformers itself knows, there is no registering others. Trainer builds two groups and
leaves biases and norms without decay, log-time decay included.
"""

import tempfile

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from hidim.torch import ADANA

STEPS, CONTEXT = 60, 16
torch.manual_seed(0)
text = torch.tensor(list(b"the quick brown fox jumps over the lazy dog. " * 40))
data = [
    {"input_ids": text[i : i + CONTEXT], "labels": text[i : i + CONTEXT]}
    for i in range(0, len(text) - CONTEXT, 3)
]
model = GPT2LMHeadModel(
    GPT2Config(
        vocab_size=128, n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=2,
        bos_token_id=None, eos_token_id=None,
    )
)  # fmt: skip
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        folder,
        max_steps=STEPS,
        learning_rate=3e-3,
        weight_decay=0.1,
        warmup_steps=6,
        lr_scheduler_type="cosine",
        per_device_train_batch_size=16,
        logging_steps=STEPS // 4,
        save_steps=STEPS // 2,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
    )
    # lr and weight decay come from here: those of `arguments` are for the names it knows.
    options = {"lr": arguments.learning_rate, "omega": 4.0, "t_0": STEPS / 10}
    trainer = Trainer(
        model, arguments, train_dataset=data, optimizer_cls_and_kwargs=(ADANA, options)
    )
    trainer.train()
    first, last = (trainer.state.log_history[i]["loss"] for i in (0, -2))
    decays = [group["omega"] for group in trainer.optimizer.param_groups]
    assert decays == [4.0, 0.0]
print(f"loss {first:.3f} -> {last:.3f}")
