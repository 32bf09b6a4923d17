"""Synthetic CTs compared with reference CTs: metrics, statistics, figures (Wolterink et al., sections 3.2, 4)."""
