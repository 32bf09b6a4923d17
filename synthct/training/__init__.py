"""Trainers (cyclegan, pix2pix, unet) and what they share: losses, sampling, loading, loop, checkpoint, log."""
