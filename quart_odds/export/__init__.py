"""Exports: odds and their history as tables in long form, one row per price, for analysis elsewhere.

A kind (`kinds`) turns events into rows, and a format (`formats`) turns rows into bytes. Neither holds more than a few
events at a time. The API and the command line choose the events, and send or write the bytes.
"""
