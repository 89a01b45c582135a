"""ADANA in Lightning, in code and by its command line, whose YAML names the class.

`python examples/lightning_module.py` after `pip install lightning 'jsonargparse[signatures]'`.
"""

import tempfile
from pathlib import Path

import lightning
import torch
from lightning.pytorch.cli import LightningCLI

from hidim.torch import ADANA, monitor, param_groups

YAML = """
seed_everything: 0
model: {width: 16}
optimizer:
  class_path: hidim.torch.ADANA
  init_args: {lr: 0.003, kappa: 0.8}
lr_scheduler:
  class_path: torch.optim.lr_scheduler.CosineAnnealingLR
  init_args: {T_max: 10}
trainer: {max_epochs: 10, accelerator: cpu, logger: false, enable_checkpointing: false,
          enable_progress_bar: false, enable_model_summary: false}
"""


class Model(lightning.LightningModule):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(8, width), torch.nn.Tanh(), torch.nn.Linear(width, 1)
        )
        self.losses: list[float] = []

    def training_step(self, batch, index):
        x, y = batch
        loss = (self.layers(x) - y).pow(2).mean()
        self.losses.append(loss.item())
        return loss

    def on_before_zero_grad(self, optimizer) -> None:
        self.seen = monitor(optimizer)  # self.log_dict(...) with a logger

    def train_dataloader(self):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(256, 8, generator=generator)
        data = torch.utils.data.TensorDataset(x, x[:, :1].sin() + x[:, 1:2])
        return torch.utils.data.DataLoader(data, batch_size=32)


class OwnModel(Model):
    def configure_optimizers(self):
        optimizer = ADANA(param_groups(self, weight_decay=0.1), lr=3e-3, omega=1.0, t_0=40.0)
        return {
            "optimizer": optimizer,
            "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 5),
        }


if __name__ == "__main__":
    lightning.seed_everything(0, verbose=False)
    in_code = OwnModel()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    lightning.Trainer(max_epochs=10, accelerator="cpu", enable_model_summary=False, **quiet).fit(
        in_code
    )
    print(f"loss {in_code.losses[0]:.3f} -> {in_code.losses[-1]:.3f}")

    config = Path(tempfile.mkdtemp()) / "config.yaml"
    config.write_text(YAML)
    cli = LightningCLI(Model, args=["fit", "--config", str(config)], save_config_callback=None)
    print(f"loss {cli.model.losses[0]:.3f} -> {cli.model.losses[-1]:.3f}")
