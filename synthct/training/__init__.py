"""Trainers (cyclegan, pix2pix) and what they share: losses, sampling, loading, loop, checkpoint, log."""
