"""QAE inside verl (0.9.1 or later), unpatched: the estimator ``qae``, the trainer modes ``qae_…``, clips by sign.

verl imports this module in every process that imports verl, by its entry-point group ``verl.plugins`` or by
VERL_USE_EXTERNAL_MODULES=qae.verl_plugin (verl/__init__.py). Prefer the latter: a plug-in that fails to load by entry
point is passed over with a debug message. With QAE_VERL_CPU=1 the development aid for machines without a GPU is
installed too; see `qae.verl_plugin.cpu`.
"""

import os

if os.environ.get("QAE_VERL_CPU") == "1":
    # Before anything of verl asks for its platform.
    from qae.verl_plugin import cpu

    cpu.install()

from qae.verl_plugin import bapo, clip, estimator, late_registration

late_registration.after_import("verl.trainer.ppo.ray_trainer", "qae.verl_plugin.any_estimator")
late_registration.after_import("verl.trainer.ppo.v1.utils", "qae.verl_plugin.session_keys")
# The package imports it last; the other two trainers are there by then.
late_registration.after_import("verl.trainer.ppo.v1.trainer_sync", "qae.verl_plugin.trainer")

__all__ = ["bapo", "clip", "estimator"]
