"""The function: the sample's workflows behind HTTP."""

from workflows import resonate

from resonate_faas_gcp import http_handler

handler = http_handler(resonate)
