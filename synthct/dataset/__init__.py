"""Raw datasets: their layout, integrity check and the example phantom."""
