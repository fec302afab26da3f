SELECT
  series,
  count,
  CASE WHEN places > 0 THEN greatest(1 - count / places, 0) ELSE 1 END AS missing_share,
  get_field(moments, 'mean') AS mean,
  get_field(moments, 'std_dev') AS std_dev,
  min,
  max,
  get_field(quantiles, 'p50') AS p50,
  get_field(quantiles, 'p90') AS p90,
  get_field(quantiles, 'p95') AS p95,
  get_field(quantiles, 'p99') AS p99,
  get_field(moments, 'trend_per_h') AS trend_per_h,
  get_field(moments, 'trend_std_err') AS trend_std_err,
  get_field(moments, 'trend_r2') AS trend_r2,
  CASE WHEN get_field(moments, 'mean') >= 0 AND get_field(moments, 'std_dev') + get_field(moments, 'mean') > 0
    THEN (get_field(moments, 'std_dev') - get_field(moments, 'mean')) / (get_field(moments, 'std_dev') + get_field(moments, 'mean')) END AS burstiness,
  CASE WHEN sees_hours THEN 2 * sqrt(cos_1h * cos_1h + sin_1h * sin_1h) / count END AS season_1h_amplitude,
  CASE WHEN sees_hours THEN atan2(0 - sin_1h, cos_1h) END AS season_1h_phase,
  CASE WHEN sees_hours AND get_field(moments, 'm2') > 0
    THEN least(2 * (cos_1h * cos_1h + sin_1h * sin_1h) / (count * get_field(moments, 'm2')), 1) END AS season_1h_strength
  /*extra names*/
FROM (
  SELECT
    series,
    sum(count) AS count,
    sum(places) AS places,
    min(min) AS min,
    max(max) AS max,
    merge_moments(count, t_mean_h, mean, t_m2, m2, t_y) AS moments,
    merge_quantiles(histogram, min, max) AS quantiles,
    sum(cos_1h) AS cos_1h,
    sum(sin_1h) AS sin_1h,
    max(step_s) <= 1200 AND sum(count) * max(step_s) >= 2700 AS sees_hours
    /*extra expressions*/
  FROM windows
  GROUP BY series
)
