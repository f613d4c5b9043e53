"""From recordings and boxes to the dataset layout."""
