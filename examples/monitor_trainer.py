"""What ADANA does, in the logs of Hugging Face's Trainer: `python examples/monitor_trainer.py`
after `pip install transformers accelerate`.

Whatever `report_to` names is told of it beside the loss, each `logging_steps` updates, and nothing
is measured in the updates between. By `trainer.log`, as what a callback adds to `logs` comes too
late for W&B and TensorBoard, which the Trainer calls first; and from `on_log`, as elsewhere it
would take the place of the loss.
"""

import tempfile

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

from hidim.torch import ADANA, monitor

STEPS, EVERY, CONTEXT = 60, 15, 16


class Monitor(TrainerCallback):
    def __init__(self, trainer):
        self.trainer, self.found = trainer, {}

    def on_optimizer_step(self, args, state, control, optimizer, **_):
        if (state.global_step + 1) % state.logging_steps == 0:  # this update is counted later
            self.found = monitor(optimizer)

    def on_log(self, args, state, control, **_):
        found, self.found = self.found, {}
        if found:
            self.trainer.log(found)


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
        weight_decay=0.1,
        per_device_train_batch_size=16,
        logging_steps=EVERY,
        save_strategy="no",
        use_cpu=True,
        report_to=[],  # or "wandb", "tensorboard", ...
        disable_tqdm=True,
    )
    trainer = Trainer(
        model, arguments, train_dataset=data, optimizer_cls_and_kwargs=(ADANA, {"lr": 3e-3})
    )
    trainer.add_callback(Monitor(trainer))
    trainer.train()
losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
