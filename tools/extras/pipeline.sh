# In a clone, with the bundled samples: validation and documents; Airflow and DVC answer.
export AIRFLOW_HOME=$PWD/.run/airflow
sed -i 's/^profile: .*/profile: demo/' params.yaml
ner validate --language en
ner prepare --language en
airflow version
dvc --version
ner status
