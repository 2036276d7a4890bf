"""Store words and numbers in the database of the host "database", whose password is given."""

import sys

import psycopg

with psycopg.connect(host="database", user="postgres", password=sys.argv[1]) as connection:
    connection.execute("CREATE TEMPORARY TABLE word (text text, number int)")
    connection.execute("INSERT INTO word VALUES (%s, %s)", ["Grüezi", 42])
    row = connection.execute("SELECT text, number, version() FROM word").fetchone()
print(psycopg.pq.__impl__, row[:2], row[2].split()[0])
