{{ config(materialized='view', tags=['batch']) }}

{{ rules_as_rows() }}
