-- The records of one topic that a fleet sends in a stretch of event time, for the insert of `fleet.py`.
-- Everything follows from the machine's number and the minute. About one machine in fifty has a
-- fault that a rule sees, somewhere in two hours.
with

machines as (
    select
        machine::bigint,
        'VM-' || lpad(machine::text, 6, '0') as device_id,
        'SITE-' || lpad((machine / 20)::text, 5, '0') as site_id,
        case machine %% 2 when 0 then 'VX-200' else 'VX-300' end as model,
        -- Each has its own second of the minute, in the order of a partition's offsets.
        machine / 4 * (60000000 / (%(devices)s::bigint / 4)) as phase_us
    from generate_series(0, %(devices)s::bigint - 1) as each (machine)
),

sent as (
    select
        *,
        minute * 60000000 + phase_us as us,
        to_timestamp((minute * 60000000 + phase_us) / 1000000.0) as event_ts,
        hashint8(machine * 1000003 + minute) & 1023 as noise,
        lpad(to_hex(machine), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(
            case when machine %% 500 = 23 and minute %% 120 < 30 then minute / 4 else 0 end
        ), 12, '0') as boot_id
    from machines
    cross join generate_series(%(from_us)s::bigint / 60000000, %(to_us)s::bigint / 60000000) as each (minute)
),

-- A site of two hundred and fifty is silent as a whole.
heard as (
    select * from sent
    where us >= %(from_us)s and us < %(to_us)s and not (machine / 20 %% 250 = 3 and minute %% 120 between 60 and 71)
),

bodies as (
    select
        *,
        case %(topic)s
            when 'telemetry.raw' then format(
                '"cabinet_temp_c":%%s,"ambient_temp_c":22.4,"evaporator_temp_c":-6.1,"humidity_pct":41.5,'
                '"compressor_on":%%s,"compressor_current_a":2.1,"supply_voltage_v":%%s,"power_w":311.2,'
                '"door_open":%%s,"rssi_dbm":-71,"vends_ok_total":%%s,"vends_failed_total":%%s,'
                '"cashbox_pct":44.0,"coin_tubes":{"50":31,"100":24,"200":12},"cashless_online":%%s,'
                '"slots":[%%s],"currency":"EUR"}',
                round(case
                    when machine %% 200 = 7 and minute %% 60 between 10 and 29
                        then least(4 + (minute %% 60 - 9) * 0.8, 14)
                    else 4 + noise / 1023.0
                end, 2),
                (case when machine %% 300 = 11 then minute %% 2 = 0 else (minute + machine) %% 30 < 10 end)::text,
                case when machine %% 400 = 31 and minute %% 100 < 5 then 188 else 228 + noise %% 5 end,
                (case when machine %% 400 = 13 and minute %% 90 between 5 and 14 then true else noise %% 50 = 0 end)::text,
                minute * (1 + machine %% 3) / 2,
                case when machine %% 500 = 17 then minute / 2 else minute / 40 end,
                (not (machine %% 400 = 19 and minute %% 120 < 15))::text,
                %(slots)s::text
            )
            when 'heartbeat.raw' then format(
                '"status":"ok","uptime_s":%%s,"interval_s":60,"ip":"10.1.2.3","rssi_dbm":-71,"spool_depth":0,'
                '"clock_offset_ms":12}',
                minute * 60
            )
            else format(
                '"alert_id":"%%s","code":"%%s","component":"coin","state":"raised","severity":3,'
                '"message":"stuck","attrs":{}}',
                minute,
                case when machine %% 500 = 37 then 'COIN_JAM' else 'BILL_JAM' end
            )
        end as body
    from heard
    where
        case %(topic)s
            when 'telemetry.raw' then not %(late)s or noise = 0
            when 'heartbeat.raw' then not (machine %% 300 = 29 and minute %% 60 between 20 and 30)
            else noise < 2 or (machine %% 500 = 37 and minute %% 30 < 4)
        end
)

select
    0 as epoch,
    case when %(late)s then 4 else machine %% 4 end as "partition",
    case
        when %(late)s then %(first_offset)s + row_number() over (order by us) - 1
        else (minute - %(minute_0)s) * (%(devices)s / 4) + machine / 4
    end as "offset",
    event_ts + %(delay)s::interval as kafka_ts,
    1 as kafka_ts_type,
    format(
        '{"event_id":"%%s","schema_version":"1.0","event_type":"%%s","device_id":"%%s","site_id":"%%s",'
        '"seq":%%s,"boot_id":"%%s","event_ts":"%%s","gateway_ts":null,"spooled":%%s,"fw":"2.4.1","model":"%%s",%%s',
        uuidv7(event_ts - clock_timestamp()),
        split_part(%(topic)s, '.', 1),
        device_id,
        site_id,
        minute,
        boot_id,
        to_char(event_ts, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        %(late)s::text,
        model,
        body
    )::json as payload,
    device_id,
    site_id,
    event_ts
from bodies
