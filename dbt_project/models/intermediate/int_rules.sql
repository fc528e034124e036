{{ config(materialized='ephemeral') }}

{{ rules_as_rows() }}
