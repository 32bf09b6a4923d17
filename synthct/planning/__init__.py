"""Dataset fingerprint, rules and the plan that fully determines preprocessing, network and training."""
