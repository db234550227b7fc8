#!/bin/sh
# Answers one call. watchdogd env has put the request's variables into the environment.
body=$(cat)
echo "$Http_Method $Http_Query: hello ${body:-you}, from the shell"
