"""The reports of a training: page, notebook view, model card, terminal summary and MLflow run.

Other rooms start at `page.render`, `card.model_card`, `summary.summary_lines` and `tracking.track`, and for several
labels at `several`.
"""
