"""The keyboard workload: screens and text to corrections, completions, suggestions and the next layout."""
