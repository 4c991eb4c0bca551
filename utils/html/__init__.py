"""Pages as the reports have them: one style, one set of templates' rules, nothing that needs a network."""
