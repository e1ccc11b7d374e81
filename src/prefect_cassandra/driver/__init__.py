"""The only room that speaks to the Cassandra driver.

Upwards it offers plain dataclasses (`config`), one thread-safe session per process (`sharing`,
`session`), bounded request streams (`pump`), value checks (`types`) and errors from
`prefect_cassandra.errors`. Nothing of the `cassandra` package leaves this room, and Prefect is not
known here.
"""
