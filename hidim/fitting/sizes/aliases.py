"""Under which names do tables hold parameters, tokens, flops and losses, with which values?"""

from __future__ import annotations

from hidim.fitting.logs.names import BITS

REMEDY = "A run that diverged has no place among others: leave its rows out"
ALIASES: dict[str, tuple[str, ...]] = {
    "params": (
        *("params", "parameters", "n_params", "model size", "model_size", "num_params"),
        *("n_parameters", "num_parameters", "param_count", "parameter_count", "total_params"),
        *("non_embedding_params", "nonembedding_params", "non_embedding_parameters"),
        *("model_params", "model_parameters", "parameter", "param", "nparams", "trainable_params"),
    ),
    "tokens": (
        *("tokens", "training tokens", "n_tokens", "train_tokens", "num_tokens", "total_tokens"),
        *("tokens_seen", "tokens_trained", "token_count", "n_train_tokens", "num_train_tokens"),
        *("token", "consumed_tokens", "num_tokens_seen", "dataset_tokens", "tokens_total"),
    ),
    "flops": (
        *("flops", "training flop", "training flops", "training_flops", "flops_6nd", "compute"),
        *("flop", "train_flops", "total_flops", "training_compute", "train_compute"),
        *("pf_days", "pfdays", "petaflop_days", "pflop_days", "total_flos", "train_flos"),
        *("exaflops", "exaflop", "eflops", "eflop", "zettaflops", "zettaflop", "zflops", "zflop"),
    ),
    "loss": (
        *("loss", "final_loss", "train_loss", "validation_loss", "final_train_loss", "val_loss"),
        *("eval_loss", "test_loss", "final_val_loss", "final_validation_loss", "loss_val"),
        *("valid_loss", "final_eval_loss", "final_test_loss", "best_loss", "lm_loss", "ce_loss"),
        *("perplexity", "ppl", "val_perplexity", "val_ppl", "eval_ppl", "eval_perplexity"),
        *BITS,
    ),
    "x": ("x",),
    "epochs": ("epochs", "epoch", "num_epochs", "n_epochs", "repeats"),
    "unique_tokens": ("unique_tokens", "unique tokens", "n_unique_tokens"),
    "layers": (
        *("layers", "n_layer", "n_layers", "num_layers", "num_hidden_layers", "depth", "nlayers"),
    ),
    "width": (
        *("width", "d_model", "n_embd", "hidden_size", "hidden_dim", "dmodel", "model_dim"),
        *("embed_dim", "embedding_dim", "n_embed", "dim"),
    ),
    "context": (
        *("context", "context_length", "seq_len", "sequence_length", "block_size", "n_ctx"),
        *("seq_length", "context_len", "ctx_len", "ctx", "max_seq_len", "max_sequence_length"),
    ),
    "vocabulary": (
        *("vocabulary", "vocab_size", "n_vocab", "vocab", "vocabulary_size", "padded_vocab_size"),
    ),
    "steps": (
        *("steps", "step", "train_steps", "training_steps", "num_steps", "n_steps", "total_steps"),
        *("max_steps", "iterations", "num_iterations", "iters", "global_step", "optimizer_steps"),
    ),
    "batch": (
        *("batch_size", "global_batch_size", "batch", "train_batch_size", "total_batch_size"),
        *("global_batch", "batch_sequences", "sequences_per_step", "batch_size_sequences"),
    ),
    "batch_tokens": (
        *("tokens_per_step", "batch_tokens", "tokens_per_batch", "batch_size_tokens"),
        *("global_batch_tokens", "batch_size_in_tokens", "batch_size_(tokens)"),
    ),
}
OPTIONAL = ("epochs", "unique_tokens", "layers", "width", "context", "vocabulary")
ROLES = tuple(ALIASES)
# Roles whose numbers may be written as 70M, or counted in a unit that the column's name says, and
# what nobody has more of: beyond it the name means something else.
LARGEST = {
    "params": 1e15,
    "tokens": 1e17,
    "unique_tokens": 1e17,
    "flops": 1e30,
    "steps": 1e10,
    "batch_tokens": 1e10,
}
COUNTED = tuple(LARGEST)
RAISED = (*COUNTED, "loss", "x")  # roles whose column may hold logarithms
SMALLEST = 1e5  # below which no run of a table of natural logarithms lies, if base 10 is likelier
LETTERS = {"params": "n", "tokens": "d", "flops": "c", "loss": "l"}
# Values under which a letter is what the scaling literature calls so, in the middle of the runs.
USUAL = {"params": (1e4, 1e14), "tokens": (1e6, 1e16), "flops": (1e12, 1e29), "loss": (0.05, 15.0)}
USUAL_RATIO = 0.1, 1e5  # tokens per parameter
CHINCHILLA = 20.0  # tokens per parameter that are called 1 x Chinchilla
RATIOS = {
    **dict.fromkeys(
        (
            *("tokens_per_param", "tokens_per_parameter", "tokens_param", "token_per_param", "tpp"),
            *("tokens_params", "tokens_parameters", "token_param_ratio", "tokens_param_ratio"),
            *("tokens_to_params", "d_n", "d_over_n", "d_n_ratio", "token_multiplier"),
            *("tokens_to_params_ratio", "token_to_param_ratio", "tokens_per_parameter_ratio"),
        ),
        1.0,
    ),
    **dict.fromkeys(
        (
            *("chinchilla_multiplier", "chinchilla_multiple", "chinchilla_ratio", "chinchilla"),
            *("chinchilla_mult", "chinchilla_factor", "x_chinchilla", "xchinchilla", "cc_mult"),
        ),
        CHINCHILLA,
    ),
}
DOUBTED_RATIOS = ("multiplier", "mult", "overtraining", "overtrain", "ratio")
