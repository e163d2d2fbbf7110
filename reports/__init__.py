"""Reports: one module each, their figures and templates, and what they published."""
