"""Tests of the documents: the site that is made of them, and their examples."""
