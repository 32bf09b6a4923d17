"""Pure modules: the generator and the discriminator of the seed, section 3.1. They know no dataset, plan or folder."""

from synthct.networks.discriminator import PatchDiscriminator
from synthct.networks.generator import ResnetGenerator

__all__ = ["PatchDiscriminator", "ResnetGenerator"]
