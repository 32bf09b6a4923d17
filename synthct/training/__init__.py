"""Trainers and what they share: losses, sampling, loading, loop, checkpoint, log.

Of Wolterink et al. 2017: cyclegan, pix2pix. Recommended: unet. With PatchNCE: cyclegan_nce.
Of the literature: han2017, nie2017, dualgan.
"""
