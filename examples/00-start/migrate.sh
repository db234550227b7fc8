#!/bin/sh
echo "2 tables are up to date"
