"""The generator and the discriminator of Wolterink et al. 2017, section 3.1, as plain layers of torch.

They know of datasets, plans and folders as little as of the faster layers that :mod:`synthct.accelerate` swaps in.
"""

from synthct.networks.discriminator import PatchDiscriminator
from synthct.networks.generator import ResnetGenerator

__all__ = ["PatchDiscriminator", "ResnetGenerator"]
