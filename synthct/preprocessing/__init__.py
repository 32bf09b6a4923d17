"""From a case's images to network-ready slices, and back to HU on the MR's own grid."""
