"""ADANA by name in timm: `python examples/timm_registry.py` after `pip install timm`.

Registered once, the name works wherever timm takes one (`create_optimizer_v2`, and the train script
if this runs before it). timm splits names at "_": give them none.
"""

import timm
import torch
from timm.optim import OptimInfo, create_optimizer_v2
from timm.optim._optim_factory import default_registry

from hidim.torch import ADANA, DANADecaying, DanaStarMK4

for name, cls in {"adana": ADANA, "danastarmk4": DanaStarMK4, "dana": DANADecaying}.items():
    default_registry.register(OptimInfo(name, cls, "hidim", has_eps=cls is not DANADecaying))

torch.manual_seed(0)
model = timm.create_model("test_vit", num_classes=4, img_size=32)
# timm leaves biases and norms without weight decay: they have no log-time decay either.
optimizer = create_optimizer_v2(
    model, "adana", lr=3e-3, weight_decay=0.05, omega=1.0, t_0=30.0, layer_decay=0.9
)
images, labels = torch.randn(32, 3, 32, 32), torch.arange(32) % 4
losses = []
for _ in range(30):
    loss = torch.nn.functional.cross_entropy(model(images), labels)
    losses.append(loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f} in {len(optimizer.param_groups)} groups")
