"""The paper's figures 4, 5 and 6 for patients of one's own, and charts over all of them, as PNG files for print."""
