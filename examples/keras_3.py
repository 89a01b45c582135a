"""DANA and ADANA in Keras 3: `python examples/keras_3.py` after `pip install keras`.

On the torch backend a model is a torch module: any optimizer of hidim.torch steps its parameters in
a `train_step` of six lines, and `fit`, callbacks and metrics stay. On the JAX backend take the same
way with hidim.optax in `stateless_call` (Keras' guide "custom train step, JAX").
"""

import os

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np

from hidim.torch import ADANA


class Trained(keras.Model):
    """A model that `fit` trains with a torch optimizer."""

    def train_step(self, data):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        self.zero_grad()
        loss = self.compute_loss(x, y, self(x, training=True), weights)
        loss.backward()
        self.torch_optimizer.step()
        self._loss_tracker.update_state(loss)
        return {"loss": self._loss_tracker.result()}


keras.utils.set_random_seed(0)
inputs = keras.Input((8,))
model = Trained(inputs, keras.layers.Dense(1)(keras.layers.Dense(16, activation="tanh")(inputs)))
model.compile(loss="mse")
model.torch_optimizer = ADANA(model.parameters(), lr=3e-3)
x = np.random.default_rng(0).standard_normal((256, 8)).astype("float32")
history = model.fit(x, np.sin(x[:, :1]) + x[:, 1:2], epochs=10, verbose=0, shuffle=False)
losses = history.history["loss"]
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
