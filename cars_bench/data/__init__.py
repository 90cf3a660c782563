"""Labels in any layout -> Dataset; splits; boxes and crops; augmented views; the demo images."""
