"""Networks as plain layers of torch: those of Wolterink et al. 2017, section 3.1, a U-Net, and those of other papers.

They know of datasets, plans and folders as little as of the faster layers that :mod:`synthct.accelerate` swaps in.
"""

from synthct.networks.discriminator import PatchDiscriminator
from synthct.networks.generator import ResnetGenerator

__all__ = ["PatchDiscriminator", "ResnetGenerator"]
