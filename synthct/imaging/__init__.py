"""Pure functions on images: files, geometry, head masks, intensities. They know no dataset, plan or folder layout."""
