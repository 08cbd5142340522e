"""A local page on which a person looks at what models see, and at what it takes to change it.

Data flows from :mod:`~pellucid.explore.gallery` (models and images) through :mod:`~pellucid.explore.views` (what is
computed of one image) to :mod:`~pellucid.explore.app` (the page) and :mod:`~pellucid.explore.figure` (the download).
"""
