"""The mean of the weights of a phase's last rounds (Izmailov et al., UAI 2018), by `recipe.average_rounds`."""

import torch

from avadclip.detectors.protocol import Detector
from avadclip.training.resume import Tensors


def average_rounds(detector: Detector, sums: Tensors, round_: int) -> Tensors:
    """Add a finished round, counted from 1 in its phase, to the sums of all parameters; return the new sums.

    After the last round of the phase, the detector gets the mean, and the sums are empty. Buffers stay as they are,
    except those that the detector computes from its parameters when it enters evaluation mode.
    """
    recipe = detector.settings.recipe
    n_left = recipe.rounds - round_
    if n_left >= recipe.average_rounds:
        return {}
    parameters = dict(detector.named_parameters())
    sums = {name: p.detach().cpu() + sums.get(name, 0.0) for name, p in parameters.items()}
    if n_left > 0:
        return sums
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(sums[name] / min(recipe.average_rounds, recipe.rounds))
    detector.train().eval()
    return {}
