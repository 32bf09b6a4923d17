"""The seed's figures 4, 5 and 6 for patients of one's own, as PNG files for print."""
